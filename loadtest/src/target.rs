//! Where load may go. Loopback by default: pointing a load generator at somebody else's machine must be a decision.

use std::net::IpAddr;

use tonic::transport::Uri;

use crate::error::LoadError;

/// An address that passed the rules of this module.
#[derive(Clone, Debug)]
pub struct Target {
    uri: Uri,
    loopback: bool,
}

impl Target {
    /// Checks `text`, e.g. `http://127.0.0.1:50051`.
    ///
    /// Loopback means a literal address of 127.0.0.0/8 or `::1`, or the name `localhost`. No other name is resolved to find out:
    /// what a name means can change between the check and the connection.
    ///
    /// # Errors
    /// [`LoadError::TargetInvalid`] if it is not `http://host:port`; [`LoadError::TargetRemote`] if it is not loopback and
    /// `allow_remote` is false.
    pub fn parse(text: &str, allow_remote: bool) -> Result<Self, LoadError> {
        let invalid = |why: &str| LoadError::TargetInvalid { target: text.to_owned(), why: why.to_owned() };
        let uri: Uri = text.parse().map_err(|_| invalid("it is not a URI"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(invalid("TLS is not supported yet")),
            _ => return Err(invalid("it does not begin with http://")),
        }
        if uri.port_u16().is_none() {
            return Err(invalid("it has no port"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| invalid("it has no host"))?;
        let loopback = is_loopback(host);
        if !loopback && !allow_remote {
            return Err(LoadError::TargetRemote { host: host.to_owned() });
        }
        Ok(Self { uri, loopback })
    }

    /// Whether the load stays on this machine.
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// The checked address.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match literal.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => literal.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let outcome = match Target::parse(text, false) {
            Ok(target) if target.is_loopback() => "loopback",
            Ok(_) => "remote",
            Err(LoadError::TargetRemote { .. }) => "refused",
            Err(LoadError::TargetInvalid { .. }) => "invalid",
            Err(_) => "other",
        };
        assert_eq!(outcome, expected, "{text}");
    }

    #[test]
    fn only_loopback_passes_unasked() {
        check("http://127.0.0.1:50051", "loopback");
        check("http://127.8.9.10:1", "loopback");
        check("http://[::1]:50051", "loopback");
        check("http://[::ffff:127.0.0.1]:50051", "loopback");
        check("http://LocalHost:50051", "loopback");
        check("http://10.0.0.1:50051", "refused");
        check("http://0.0.0.0:50051", "refused");
        check("http://shop.example:50051", "refused");
        check("http://localhost.shop.example:50051", "refused");
        check("http://127.0.0.1.shop.example:50051", "refused");
        check("http://127.0.0.1@shop.example:50051", "refused");
        check("http://[::ffff:10.0.0.1]:50051", "refused");
    }

    #[test]
    fn unusable_addresses_are_named_as_such() {
        check("127.0.0.1:50051", "invalid");
        check("https://127.0.0.1:50051", "invalid");
        check("http://127.0.0.1", "invalid");
        check("http://", "invalid");
        check("", "invalid");
    }

    #[test]
    fn the_refusal_names_the_way_out_and_the_way_out_works() {
        let refusal = Target::parse("http://10.0.0.1:50051", false).unwrap_err().to_string();
        assert!(refusal.contains("10.0.0.1") && refusal.contains("--allow-remote"), "{refusal}");
        let target = Target::parse("http://10.0.0.1:50051", true).unwrap();
        assert!(!target.is_loopback());
    }
}
