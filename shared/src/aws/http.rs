//! The HTTP client of the AWS SDKs, on the same TLS as everything else. Their own client would add a second TLS implementation to
//! each zip, which makes it a quarter larger.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use hyper_tls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::TokioExecutor;

use crate::tls;

type HyperClient = Client<HttpsConnector<TcpConnector>, SdkBody>;

/// Calls AWS over HTTP/1.1 and keeps connections open. It uses no proxy.
#[derive(Debug, Clone)]
pub struct Http {
    tls: &'static tls::Connector,
    /// The client with its connections, built at its first use.
    client: Arc<Mutex<Option<Arc<HyperClient>>>>,
}

impl Default for Http {
    /// Trusts the Amazon Trust Services roots.
    fn default() -> Self {
        Self::trusting(&tls::TO_AWS)
    }
}

impl Http {
    /// Trusts the authorities of this machine, for a program that does not run on AWS.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::trusting(&tls::OF_THIS_MACHINE)
    }

    fn trusting(tls: &'static tls::Connector) -> Self {
        Self { tls, client: Arc::default() }
    }

    /// The client. It allows plain HTTP, for the URL of an emulator.
    fn client(&self) -> Result<Arc<HyperClient>, ConnectorError> {
        let tls = self.tls.as_ref().map_err(|error| ConnectorError::user(error.to_string().into()))?;
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let client = client.get_or_insert_with(|| {
            let mut tcp = TcpConnector::new();
            tcp.enforce_http(false);
            tcp.set_nodelay(true);
            Arc::new(Client::builder(TokioExecutor::new()).build(HttpsConnector::from((tcp, tls.clone().into()))))
        });
        Ok(Arc::clone(client))
    }
}

/// An attempt at a call. If it gets no answer, no later attempt uses the client's open connections: they take the same route through the
/// network, and another one may be dead too. Attempts under way go on.
struct Attempt<'a> {
    http: &'a Http,
    client: Arc<HyperClient>,
    is_answered: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            let mut client = self.http.client.lock().unwrap_or_else(PoisonError::into_inner);
            client.take_if(|client| Arc::ptr_eq(client, &self.client));
        }
    }
}

impl HttpClient for Http {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let http = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let mut attempt = Attempt { http: &http, client: http.client()?, is_answered: false };
            // The SDK retries an I/O error.
            let response = attempt.client.request(request).await.map_err(|error| ConnectorError::io(error.into()))?;
            attempt.is_answered = true;
            let response = response.map(SdkBody::from_body_1_x);
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use futures_util::future::try_join_all;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Barrier;
    use tokio::time::{sleep, timeout};

    use super::*;

    /// How many connections a burst of calls opens.
    const BURST: usize = 3;

    /// Answers requests without a body, the first one together with the others of the burst, until the network drops packets.
    async fn answer(mut connection: TcpStream, burst: Arc<Barrier>, is_dead: Arc<AtomicBool>) {
        burst.wait().await;
        let mut buffer = [0; 4096];
        while connection.read(&mut buffer).await.is_ok_and(|length| length > 0) {
            if !is_dead.load(Ordering::SeqCst) {
                connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn attempt_after_one_without_answer_takes_a_new_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (http, url) = (Http::of_this_machine(), format!("http://{}/", listener.local_addr().unwrap()));
        let call = || http.call(HttpRequest::get(&url).unwrap());
        let (burst, is_dead) = (Arc::new(Barrier::new(BURST)), Arc::new(AtomicBool::new(false)));
        let answers = async {
            for _ in 0..BURST {
                let (connection, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(connection, Arc::clone(&burst), Arc::clone(&is_dead)));
            }
        };
        let (answered, ()) = tokio::join!(try_join_all((0..BURST).map(|_| call())), answers);
        assert_eq!(answered.unwrap().len(), BURST);
        is_dead.store(true, Ordering::SeqCst);
        timeout(Duration::from_millis(50), call()).await.unwrap_err();
        tokio::select! {
            _ = listener.accept() => {}
            answered = call() => panic!("{answered:?}"),
            () = sleep(Duration::from_secs(10)) => panic!("no new connection"),
        }
    }
}
