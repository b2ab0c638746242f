//! The HTTP client of the AWS SDKs, on the same TLS as everything else. Their own client would add a second TLS implementation to
//! each zip, which makes it a quarter larger.

use std::sync::{Arc, OnceLock};

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

/// Calls AWS over HTTP/1.1 and keeps connections open. Built at its first use. It uses no proxy.
#[derive(Debug, Clone)]
pub struct Http {
    tls: &'static tls::Connector,
    client: Arc<OnceLock<Client<HttpsConnector<TcpConnector>, SdkBody>>>,
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
    fn client(&self) -> Result<&Client<HttpsConnector<TcpConnector>, SdkBody>, ConnectorError> {
        let tls = self.tls.as_ref().map_err(|error| ConnectorError::user(error.to_string().into()))?;
        Ok(self.client.get_or_init(|| {
            let mut tcp = TcpConnector::new();
            tcp.enforce_http(false);
            tcp.set_nodelay(true);
            Client::builder(TokioExecutor::new()).build(HttpsConnector::from((tcp, tls.clone().into())))
        }))
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
            let client = http.client()?;
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            // The SDK retries an I/O error.
            let response = client.request(request).await.map_err(|error| ConnectorError::io(error.into()))?;
            let response = response.map(SdkBody::from_body_1_x);
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
