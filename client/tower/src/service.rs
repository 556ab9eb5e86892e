use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::decide::{Admitted, Charged, Deciding, Rejected, Reply, Verdict, decide};
use crate::layer::Shared;
use crate::{Head, Headers, RateLimits, ThrottleBody};

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
        mut request: Request<Q>,
    ) -> Self {
        match decide(shared, &Head::of(&request)) {
            Ok(Verdict::Admitted(admitted)) => {
                let due = Due::of(admitted, shared.headers, request.extensions_mut());
                Self { state: State::Answering { answer: inner.call(request), due } }
            }
            Ok(Verdict::Rejected(rejected)) => {
                drop(take(inner));
                Self { state: State::rejected(shared, &rejected, request.extensions()) }
            }
            Err(verdict) => {
                let waiting = Some(Box::new((take(inner), request)));
                Self { state: State::Deciding { shared: Arc::clone(shared), verdict, waiting } }
            }
        }
    }
}

/// What is due when the service has answered.
struct Due {
    shown: Option<Shown>,
    charged: Option<Box<Charged>>,
}

impl Due {
    /// Adds its decisions to an admitted request, which goes to the service now.
    fn of(admitted: Admitted, headers: Headers, extensions: &mut Extensions) -> Self {
        let Admitted { limits, mut charged } = admitted;
        if let Some(charged) = &mut charged {
            charged.begin();
        }
        let shown = limits.and_then(|limits| Shown::add(limits, headers, extensions));
        Self { shown, charged }
    }

    fn settle<B>(&mut self, mut response: Response<B>) -> Response<ThrottleBody<B>> {
        let permits = self.charged.take().map_or_else(Vec::new, |mut charged| {
            charged.settle(Reply {
                status: response.status(),
                headers: response.headers(),
                extensions: response.extensions(),
            })
        });
        if let Some(shown) = &mut self.shown {
            shown.show(&mut response);
        }
        response.map(|body| ThrottleBody::of_service(body, permits))
    }
}

/// The decisions that a response shows.
struct Shown {
    headers: Headers,
    limits: RateLimits,
    /// With those of outer layers, if there are any.
    all: Option<Box<RateLimits>>,
}

impl Shown {
    /// Adds decisions to the extensions of a request. Returns what its response shows of them.
    fn add(limits: RateLimits, headers: Headers, extensions: &mut Extensions) -> Option<Self> {
        if let Some(outer) = extensions.get_mut::<RateLimits>() {
            let all = limits.after(outer);
            *outer = all.clone();
            return Some(Self { headers, limits, all: Some(Box::new(all)) });
        }
        if headers == Headers::None {
            extensions.insert(limits);
            return None;
        }
        extensions.insert(limits.clone());
        Some(Self { headers, limits, all: None })
    }

    /// Adds the headers to a response.
    fn show<B>(&mut self, response: &mut Response<B>) {
        let Self { headers, limits, all } = self;
        // Inner layers have added theirs.
        let all = response.extensions_mut().remove().or_else(|| all.take().map(|all| *all));
        headers.add(limits, all.as_ref().unwrap_or(limits), response.headers_mut());
        // Not without need, as it takes as long as a decision in memory.
        if let Some(all) = all {
            response.extensions_mut().insert(all);
        }
    }
}

pin_project! {
    // Rare states are boxed, because the future is moved.
    #[project = StateProjected]
    enum State<S, Q, F> {
        Rejected { response: Option<Box<Response<Bytes>>> },
        Deciding {
            shared: Arc<Shared>,
            verdict: Deciding,
            waiting: Option<Box<(S, Request<Q>)>>,
        },
        Answering {
            #[pin]
            answer: F,
            due: Due,
        },
    }
}

impl<S, Q> State<S, Q, S::Future>
where
    S: Service<Request<Q>>,
{
    fn rejected(shared: &Shared, rejected: &Rejected, extensions: &Extensions) -> Self {
        Self::Rejected { response: Some(Box::new(shared.answer(rejected, extensions))) }
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
                StateProjected::Rejected { response } => {
                    let response = response.take().expect("a future is not polled after it is ready");
                    return Poll::Ready(Ok((*response).map(ThrottleBody::of_layer)));
                }
                StateProjected::Deciding { shared, verdict, waiting } => {
                    let verdict = ready!(verdict.as_mut().poll(context));
                    let (mut inner, mut request) = *waiting.take().expect("it is decided only once");
                    match verdict {
                        Verdict::Admitted(admitted) => {
                            let due = Due::of(admitted, shared.headers, request.extensions_mut());
                            State::Answering { answer: inner.call(request), due }
                        }
                        Verdict::Rejected(rejected) => State::rejected(shared, &rejected, request.extensions()),
                    }
                }
                StateProjected::Answering { answer, due } => {
                    let answer = ready!(answer.poll(context));
                    if answer.is_err() {
                        // Dropping it gives back what the request has, as there is no body to keep
                        // it.
                        due.charged = None;
                    }
                    return Poll::Ready(answer.map(|response| due.settle(response)));
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
