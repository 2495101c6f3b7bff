//! Calls without an end of their own (health watches, reflection) must not hold up a stop.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

/// A body that, once `closing`, is let go on as long as it has something to say at once, and is then ended with a status.
pub(crate) fn until(closing: CancellationToken, body: Body, end: fn() -> Status) -> Body {
    Body::new(Until { body, closing: Box::pin(closing.cancelled_owned()), closed: false, end: Some(end) })
}

struct Until {
    body: Body,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    closed: bool,
    end: Option<fn() -> Status>,
}

impl hyper::body::Body for Until {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(end) = this.end else { return Poll::Ready(None) };
        if !this.closed && this.closing.as_mut().poll(cx).is_ready() {
            this.closed = true;
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Pending if this.closed => {
                this.end = None;
                let mut trailers = HeaderMap::new();
                // Fails only for a message that is no header value; the stream then ends without one.
                let _ = end().add_header(&mut trailers);
                Poll::Ready(Some(Ok(hyper::body::Frame::trailers(trailers))))
            }
            next => next,
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn says_what_it_has_to_say_then_ends() {
        let closing = CancellationToken::new();
        let frames = futures::stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(b"x"))]);
        let endless = futures::StreamExt::chain(frames, futures::stream::pending());
        let mut body = until(closing.clone(), Body::from_stream(endless), || Status::unavailable("stop"));
        closing.cancel();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "x");
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "14");
        assert!(body.frame().await.is_none());
    }
}
