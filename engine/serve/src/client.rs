//! A caller of the public API, as a storefront would be one: what `faces demo`, `faces recommend` and `faces act` use.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use faces_proto::v1::{
    self, admin_service_client::AdminServiceClient, event_service_client::EventServiceClient,
    profile_service_client::ProfileServiceClient, recommendation_service_client::RecommendationServiceClient,
};
use tonic::transport::{Channel, Endpoint};

/// Clients on one connection.
#[derive(Clone)]
pub struct Client {
    recommendations: RecommendationServiceClient<Channel>,
    events: EventServiceClient<Channel>,
    profiles: ProfileServiceClient<Channel>,
    admin: AdminServiceClient<Channel>,
}

impl Client {
    /// Connects to `http://host:port`.
    ///
    /// # Errors
    /// When nobody answers there, with the way out.
    pub async fn connect(server: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(server.to_owned())
            .with_context(|| format!("{server:?} is no URL like http://127.0.0.1:50051"))?;
        let endpoint = endpoint.connect_timeout(Duration::from_secs(3)).timeout(Duration::from_secs(10)).tcp_nodelay(true);
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

fn refused(status: &tonic::Status) -> anyhow::Error {
    anyhow::anyhow!("{:?}: {}", status.code(), status.message())
}
