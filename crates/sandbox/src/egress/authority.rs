//! Speaks TLS in a registry's name to the programs of one sandbox: an authority that they alone trust, for those hosts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::Host;

/// Programs inside may have another idea of the time.
const BEFORE: Duration = Duration::from_secs(24 * 3600);
/// No sandbox lives for longer.
const VALID: Duration = Duration::from_secs(7 * 24 * 3600);
/// HTTP/2 would be spoken by some clients; one request after the other is enough for downloads.
const PROTOCOL: &[u8] = b"http/1.1";

/// An authority, and what it has signed.
pub(super) struct Authority {
    pub(super) certificate: CertificateDer<'static>,
    servers: BTreeMap<Host, Arc<ServerConfig>>,
}

impl Authority {
    /// Makes one for `hosts`. Its key is forgotten at once; those of the hosts never leave this process.
    pub(super) fn new<'a>(hosts: impl IntoIterator<Item = &'a Host>) -> Result<Self, rcgen::Error> {
        let hosts: Vec<&Host> = hosts.into_iter().collect();
        let issuer = CertifiedIssuer::self_signed(of_authority(&hosts), KeyPair::generate()?)?;
        let servers = hosts.iter().map(|host| Ok(((*host).clone(), server(host, &issuer)?)));
        let servers = servers.collect::<Result<_, rcgen::Error>>()?;
        Ok(Self { certificate: issuer.der().clone(), servers })
    }

    /// How to be `host`, if it is one of ours.
    pub(super) fn server(&self, host: &Host) -> Option<&Arc<ServerConfig>> {
        self.servers.get(host)
    }
}

/// Whoever trusts it trusts it for these hosts alone.
fn of_authority(hosts: &[&Host]) -> CertificateParams {
    let mut params = valid(CertificateParams::default());
    params.distinguished_name.push(DnType::CommonName, "backspace, for one sandbox");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let permitted_subtrees = hosts.iter().map(|host| GeneralSubtree::DnsName(host.to_string())).collect();
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    params
}

fn server(host: &Host, issuer: &CertifiedIssuer<'_, KeyPair>) -> Result<Arc<ServerConfig>, rcgen::Error> {
    let (certificate, key) = signed(host, issuer)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key));
    // The provider is the one that made the key.
    let mut config = config.and_then(|config| config).map_err(|_| rcgen::Error::KeyGenerationUnavailable)?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}

/// A certificate for `host`, and its key.
fn signed(
    host: &Host,
    issuer: &CertifiedIssuer<'_, KeyPair>,
) -> Result<(Certificate, KeyPair), rcgen::Error> {
    let mut params = valid(CertificateParams::new([host.to_string()])?);
    params.distinguished_name.push(DnType::CommonName, host.as_str());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, issuer)?, key))
}

fn valid(mut params: CertificateParams) -> CertificateParams {
    let now = SystemTime::now();
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + VALID).into();
    params.use_authority_key_identifier_extension = true;
    params
}

#[cfg(test)]
mod tests {
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{CertificateError, Error, RootCertStore};

    use super::*;

    /// What a client that trusts `authority` says of a certificate for `name` that it signed.
    fn verdict(authority: &CertifiedIssuer<'_, KeyPair>, name: &'static str) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let (certificate, _) = signed(&name.parse().unwrap(), authority).unwrap();
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(certificate.der(), &[], &name, &[], UnixTime::now()).map(drop)
    }

    #[test]
    fn whoever_trusts_it_trusts_it_for_its_hosts_alone() {
        let hosts: [Host; 2] = ["a.example", "b.example"].map(|name| name.parse().unwrap());
        let params = of_authority(&hosts.iter().collect::<Vec<_>>());
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        assert_eq!(verdict(&authority, "a.example"), Ok(()));
        assert_eq!(verdict(&authority, "b.example"), Ok(()));
        for other in ["c.example", "xa.example", "example"] {
            let refused = verdict(&authority, other).unwrap_err();
            assert!(
                matches!(refused, Error::InvalidCertificate(CertificateError::Other(_))),
                "{other}: {refused:?}"
            );
            assert!(refused.to_string().contains("NameConstraint"), "{other}: {refused}");
        }
    }
}
