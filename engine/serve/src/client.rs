//! A caller of the public API, as a storefront would be one: what `faces demo`, `faces recommend` and `faces act` use.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use faces_proto::v1::{
    self, admin_service_client::AdminServiceClient, event_service_client::EventServiceClient,
    profile_service_client::ProfileServiceClient, recommendation_service_client::RecommendationServiceClient,
};
use tonic::transport::{Channel, Endpoint};

/// How long a call may take.
const USUAL_LIMIT: Duration = Duration::from_secs(10);

/// Clients on one connection.
#[derive(Clone)]
pub struct Client {
    recommendations: RecommendationServiceClient<Channel>,
    events: EventServiceClient<Channel>,
    profiles: ProfileServiceClient<Channel>,
    admin: AdminServiceClient<Channel>,
}

impl Client {
    /// Connects to `http://host:port`; `host:port` is the same.
    ///
    /// # Errors
    /// A URL that is none or asks for encryption; when nobody answers there, with the way out.
    pub async fn connect(server: &str) -> Result<Self> {
        Self::connect_for(server, USUAL_LIMIT).await
    }

    /// The same where calls may take up to `limit`.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_for(server: &str, limit: Duration) -> Result<Self> {
        let endpoint =
            Endpoint::from_shared(url(server)?).with_context(|| format!("{server:?} is no URL like http://127.0.0.1:50051"))?;
        let endpoint = endpoint.connect_timeout(Duration::from_secs(3)).timeout(limit).tcp_nodelay(true);
        let connection = endpoint.connect().await;
        let channel =
            connection.with_context(|| format!("nobody answers at {server}; is `faces serve` or `faces demo` running there?"))?;
        Ok(Self {
            recommendations: RecommendationServiceClient::new(channel.clone()),
            events: EventServiceClient::new(channel.clone()),
            profiles: ProfileServiceClient::new(channel.clone()),
            admin: AdminServiceClient::new(channel),
        })
    }

    /// A slate.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn recommend(&mut self, request: v1::RecommendRequest) -> Result<v1::RecommendResponse> {
        Ok(self.recommendations.recommend(request).await.map_err(|status| refused(&status))?.into_inner())
    }

    /// Writes one event and waits for the log's acknowledgement.
    ///
    /// # Errors
    /// What the server or the log refuses.
    pub async fn write(&mut self, event: v1::Event) -> Result<()> {
        let request = v1::WriteEventsRequest { events: vec![event] };
        let response = self.events.write_events(request).await.map_err(|status| refused(&status))?.into_inner();
        match response.results.into_iter().find_map(|result| result.error) {
            Some(error) => bail!("the event was refused: {}", error.message),
            None => Ok(()),
        }
    }

    /// A person's profile.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn profile(&mut self, keys: Vec<v1::SourceKey>) -> Result<v1::GetProfileResponse> {
        let request = v1::GetProfileRequest { keys };
        Ok(self.profiles.get_profile(request).await.map_err(|status| refused(&status))?.into_inner())
    }

    /// Answers to one request under the rules in force and under others.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn try_rules(&mut self, request: v1::TryRulesRequest) -> Result<v1::TryRulesResponse> {
        Ok(self.admin.try_rules(request).await.map_err(|status| refused(&status))?.into_inner())
    }

    /// Sets the service level, or leaves it to the server; the one in force.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn set_level(&mut self, level: v1::ServiceLevel) -> Result<v1::ServiceLevel> {
        let request = v1::SetServiceLevelRequest { level: level as i32 };
        Ok(self.admin.set_service_level(request).await.map_err(|status| refused(&status))?.into_inner().level())
    }

    /// What the server holds and how it is.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn status(&mut self) -> Result<v1::GetStatusResponse> {
        Ok(self.admin.get_status(v1::GetStatusRequest {}).await.map_err(|status| refused(&status))?.into_inner())
    }

    /// A digest of the server's state. Reads all of it, so it may take a while.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn digest(&mut self) -> Result<v1::GetStateDigestResponse> {
        let request = v1::GetStateDigestRequest {};
        Ok(self.admin.get_state_digest(request).await.map_err(|status| refused(&status))?.into_inner())
    }
}

/// The URL of a server that is named by its URL or its address.
fn url(server: &str) -> Result<String> {
    let Some((scheme, _)) = server.split_once("://") else { return Ok(format!("http://{server}")) };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(server.to_owned()),
        "https" => {
            bail!("{server}: this client does not encrypt; TLS ends at the proxy, so name the server behind it by http://")
        }
        _ => bail!("{server:?} is no URL like http://127.0.0.1:50051"),
    }
}

/// Where a caller on this machine reaches a server that listens at `address`: for one that listens everywhere, by the loopback.
#[must_use]
pub fn url_of_listener(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

fn refused(status: &tonic::Status) -> anyhow::Error {
    anyhow::anyhow!("{:?}: {}", status.code(), status.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_by_url_or_address_and_never_by_https() {
        assert_eq!(url("http://shop:1").unwrap(), "http://shop:1");
        assert_eq!(url("HTTP://shop:1").unwrap(), "HTTP://shop:1");
        assert_eq!(url("127.0.0.1:50061").unwrap(), "http://127.0.0.1:50061");
        assert_eq!(url("[::1]:50061").unwrap(), "http://[::1]:50061");
        for encrypted in ["https://shop:1", "HTTPS://shop:1"] {
            let said = url(encrypted).unwrap_err().to_string();
            assert!(said.contains(encrypted) && said.contains("TLS") && said.contains("http://"), "{said}");
        }
        assert!(url("ftp://shop:1").unwrap_err().to_string().contains("is no URL like"));
    }

    #[test]
    fn who_listens_everywhere_is_reached_by_the_loopback() {
        let of = |address: &str| url_of_listener(address.parse().unwrap());
        assert_eq!(of("0.0.0.0:7"), "http://127.0.0.1:7");
        assert_eq!(of("[::]:7"), "http://[::1]:7");
        assert_eq!(of("10.1.2.3:7"), "http://10.1.2.3:7");
    }
}
