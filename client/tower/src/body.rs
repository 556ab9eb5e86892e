use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use premier_client::AsyncPermit;

pin_project! {
    /// The body of a response: that of the service as it is, or one of the layer. The service's
    /// body keeps the places of its request until it ends or is dropped.
    #[derive(Debug)]
    pub struct ThrottleBody<B> {
        #[pin]
        content: Content<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = Projected]
    enum Content<B> {
        OfService {
            #[pin]
            body: B,
            permits: Vec<AsyncPermit>,
        },
        OfLayer {
            // What is left of it.
            bytes: Option<Bytes>,
        },
    }
}

impl<B> ThrottleBody<B> {
    pub(crate) const fn of_service(body: B, permits: Vec<AsyncPermit>) -> Self {
        Self { content: Content::OfService { body, permits } }
    }

    pub(crate) fn of_layer(bytes: Bytes) -> Self {
        Self { content: Content::OfLayer { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()) } }
    }
}

/// Empty, as layers outside of this one may need it.
impl<B> Default for ThrottleBody<B> {
    fn default() -> Self {
        Self::of_layer(Bytes::new())
    }
}

impl<B: Body<Data = Bytes>> Body for ThrottleBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().content.project() {
            Projected::OfService { mut body, permits } => {
                let frame = ready!(body.as_mut().poll_frame(context));
                if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
                    permits.clear();
                }
                Poll::Ready(frame)
            }
            Projected::OfLayer { bytes } => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::OfService { body, .. } => body.is_end_stream(),
            Content::OfLayer { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::OfService { body, .. } => body.size_hint(),
            Content::OfLayer { bytes } => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}
