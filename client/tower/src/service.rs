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

use crate::decide::{Admitted, Charged, Deciding, Reply, Verdict, decide};
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
        let take = |inner: &mut S| {
            let clone = inner.clone();
            mem::replace(inner, clone)
        };
        ResponseFuture::new(&self.shared, &mut self.inner, take, request)
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

impl<S, Q> ResponseFuture<S, Q>
where
    S: Service<Request<Q>>,
{
    /// Decides a request, and sends it to a service that is ready. Takes the service for a request
    /// that waits, and for one that the service will not see, as it may have reserved something for
    /// it.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        inner: &mut S,
        take: impl FnOnce(&mut S) -> S,
        request: Request<Q>,
    ) -> Self {
        let state = match shared.policies(&Head::of(&request)) {
            Err(why) => {
                drop(take(inner));
                State::Refused { response: Some(shared.unasked(&why)) }
            }
            Ok(policies) if policies.is_empty() && shared.heeding.is_none() => {
                State::Answering { answer: inner.call(request), limits: None, charged: None }
            }
            Ok(policies) => match decide(shared, policies) {
                Ok(verdict @ Verdict::Admitted(_)) => State::decided(shared, verdict, inner, request),
                Ok(verdict) => State::decided(shared, verdict, &mut take(inner), request),
                Err(verdict) => State::Deciding { verdict, waiting: Some((take(inner), request)) },
            },
        };
        Self { shared: Arc::clone(shared), state }
    }
}

/// The decisions that a response shows.
struct Shown {
    limits: RateLimits,
    /// With those of outer layers, if there are any.
    all: Option<RateLimits>,
}

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
            limits: Option<Shown>,
            charged: Option<Box<Charged>>,
        },
    }
}

impl<S, Q> State<S, Q, S::Future>
where
    S: Service<Request<Q>>,
{
    /// Goes on with a request that is decided.
    fn decided(shared: &Shared, verdict: Verdict, inner: &mut S, mut request: Request<Q>) -> Self {
        match verdict {
            Verdict::Admitted(Admitted { limits, mut charged, .. }) => {
                if let Some(charged) = &mut charged {
                    charged.begin();
                }
                let extensions = request.extensions_mut();
                let all = extensions.insert(limits.clone()).map(|outer| limits.after(&outer));
                if let Some(all) = &all {
                    extensions.insert(all.clone());
                }
                Self::Answering { answer: inner.call(request), limits: Some(Shown { limits, all }), charged }
            }
            Verdict::Limited(limits) => {
                Self::Refused { response: Some(shared.limited(&limits, request.extensions().get())) }
            }
            Verdict::Undecided(error) => Self::Refused { response: Some(shared.undecided(&error)) },
        }
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
                StateProjected::Deciding { verdict, waiting } => {
                    let verdict = ready!(verdict.as_mut().poll(context));
                    let (mut inner, request) = waiting.take().expect("it is decided only once");
                    State::decided(this.shared, verdict, &mut inner, request)
                }
                StateProjected::Answering { answer, limits, charged } => {
                    let mut response = match ready!(answer.poll(context)) {
                        Ok(response) => response,
                        Err(error) => {
                            // Dropping it gives back what the request has, as there is no body to
                            // keep it.
                            *charged = None;
                            return Poll::Ready(Err(error));
                        }
                    };
                    let permits = charged.take().map_or_else(Vec::new, |mut charged| {
                        charged.settle(Reply {
                            status: response.status(),
                            headers: response.headers(),
                            extensions: response.extensions(),
                        })
                    });
                    if let Some(Shown { limits, all }) = limits.take() {
                        // Inner layers have added theirs.
                        let all = response.extensions_mut().remove().or(all);
                        this.shared.headers.add(&limits, all.as_ref().unwrap_or(&limits), response.headers_mut());
                        // Not without need, as it takes as long as a decision in memory.
                        if let Some(all) = all {
                            response.extensions_mut().insert(all);
                        }
                    }
                    return Poll::Ready(Ok(response.map(|body| ThrottleBody::of_service(body, permits))));
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
