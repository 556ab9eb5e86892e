use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::decide::{Admitted, Charged, Reply, Verdict, decide};
use crate::layer::Shared;
use crate::{Head, RateLimits, ThrottleBody};

/// A service whose requests are limited: see [`ThrottleLayer`](crate::ThrottleLayer).
///
/// Its errors are those of the inner service: a limited request is a response. Clones share what
/// was used.
#[derive(Debug, Clone)]
pub struct ThrottleService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> ThrottleService<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, Q, B> Service<Request<Q>> for ThrottleService<S>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone,
{
    type Response = Response<ThrottleBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, Q>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> ResponseFuture<S, Q> {
        // The clone is not ready yet, so it stays here, and the one that is answers the request.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let state = match self.shared.policies(&Head::of(&request)) {
            Err(refusal) => State::Refused { response: Some(self.shared.refused(&refusal)) },
            Ok(policies) if policies.is_empty() => State::Answering {
                answer: inner.call(request),
                limits: None,
                charged: Some(Charged::nothing(&self.shared)),
            },
            Ok(policies) => State::Deciding {
                verdict: Box::pin(decide(Arc::clone(&self.shared), policies)),
                waiting: Some((inner, request)),
            },
        };
        ResponseFuture { shared: Arc::clone(&self.shared), state }
    }
}

pin_project! {
    /// The response to a request, once it is decided.
    pub struct ResponseFuture<S, Q>
    where
        S: Service<Request<Q>>,
    {
        shared: Arc<Shared>,
        #[pin]
        state: State<S, Q, S::Future>,
    }
}

/// What decides, and what becomes of it.
type Deciding = Pin<Box<dyn Future<Output = Verdict> + Send>>;

pin_project! {
    #[project = StateProjected]
    enum State<S, Q, F> {
        Refused { response: Option<Response<Bytes>> },
        Deciding {
            verdict: Deciding,
            waiting: Option<(S, Request<Q>)>,
        },
        Answering {
            #[pin]
            answer: F,
            // Those of this layer, and with them those of outer layers.
            limits: Option<(RateLimits, RateLimits)>,
            charged: Option<Charged>,
        },
    }
}

impl<S, Q, B> Future for ResponseFuture<S, Q>
where
    S: Service<Request<Q>, Response = Response<B>>,
{
    type Output = Result<Response<ThrottleBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjected::Refused { response } => {
                    let response = response.take().expect("a future is not polled after it is ready");
                    return Poll::Ready(Ok(response.map(ThrottleBody::of_layer)));
                }
                StateProjected::Deciding { verdict, waiting } => match ready!(verdict.as_mut().poll(context)) {
                    Verdict::Admitted(Admitted { limits, charged }) => {
                        let (mut inner, mut request) = waiting.take().expect("it is decided only once");
                        let all = limits.after(request.extensions().get());
                        request.extensions_mut().insert(all.clone());
                        State::Answering {
                            answer: inner.call(request),
                            limits: Some((limits, all)),
                            charged: Some(charged),
                        }
                    }
                    Verdict::Limited(limits) => {
                        let (_, request) = waiting.take().expect("it is decided only once");
                        let all = limits.after(request.extensions().get());
                        State::Refused { response: Some(this.shared.limited(&limits, all)) }
                    }
                    Verdict::Undecided(error) => State::Refused { response: Some(this.shared.undecided(&error)) },
                },
                StateProjected::Answering { answer, limits, charged } => {
                    let mut response = ready!(answer.poll(context))?;
                    if let Some(charged) = charged.take() {
                        charged.settle(Reply {
                            status: response.status(),
                            headers: response.headers(),
                            extensions: response.extensions(),
                        });
                    }
                    if let Some((limits, all)) = limits.take() {
                        // Inner layers have added theirs.
                        let all = response.extensions_mut().remove().unwrap_or(all);
                        this.shared.headers.add(&limits, &all, response.headers_mut());
                        response.extensions_mut().insert(all);
                    }
                    return Poll::Ready(Ok(response.map(ThrottleBody::of_service)));
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, Q> fmt::Debug for ResponseFuture<S, Q>
where
    S: Service<Request<Q>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
