//! Whose certificates are believed, by us and by the programs inside.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::HomeFile;

/// Where programs inside find all of them, below their home folder.
const BUNDLE: &str = ".config/backspace/certificates.pem";
/// A line of PEM.
const LINE_CHARS: usize = 64;
/// Variables by which tools are told of a file of certificates; those that bring their own otherwise know neither this
/// machine's nor ours. (Java keeps to this machine's, which stand inside.)
const VARIABLES: &[&str] = &[
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    // The machine's own settings of npm, below /usr, may name another one.
    "npm_config_cafile",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "DENO_CERT",
];

/// Certificates of authorities.
#[derive(Debug, Clone, Default)]
pub struct Trust(Arc<[CertificateDer<'static>]>);

impl Trust {
    /// What this machine trusts, and `more`.
    pub fn of_this_machine(more: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        // What cannot be read is not trusted.
        let mut all = rustls_native_certs::load_native_certs().certs;
        all.extend(more);
        all.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
        all.dedup();
        Self(all.into())
    }

    /// For connections of ours.
    pub(super) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.0.iter().cloned());
        roots
    }

    /// The file of the home folder that holds them and `own`, and the variables that name it.
    pub(super) fn inside(&self, own: Option<&CertificateDer<'_>>) -> (HomeFile, Vec<(String, String)>) {
        let all = self.0.iter().chain(own);
        let content = all.map(pem).collect::<String>().into_bytes();
        let path = format!("{}/{BUNDLE}", backspace_init::protocol::HOME);
        let variables = VARIABLES.iter().map(|name| ((*name).to_owned(), path.clone())).collect();
        (HomeFile { path: BUNDLE.to_owned(), content }, variables)
    }

    /// Whether there are none, so that programs inside are better off with what they bring.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<CertificateDer<'static>> for Trust {
    fn from_iter<I: IntoIterator<Item = CertificateDer<'static>>>(certificates: I) -> Self {
        Self(certificates.into_iter().collect())
    }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let lines = text.as_bytes().chunks(LINE_CHARS).map(|line| String::from_utf8_lossy(line) + "\n");
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn what_is_written_for_programs_inside_is_what_is_trusted() {
        let certificates = [vec![1; 48], vec![2; 100], vec![3; 1]].map(CertificateDer::from);
        let trust: Trust = certificates[..2].iter().cloned().collect();
        let (file, variables) = trust.inside(Some(&certificates[2]));
        let read: Vec<_> = CertificateDer::pem_slice_iter(&file.content).map(Result::unwrap).collect();
        assert_eq!(read, certificates);
        assert!(variables.iter().all(|(_, value)| *value == format!("/home/agent/{}", file.path)));
        assert!(file.content.split(|byte| *byte == b'\n').all(|line| line.len() <= LINE_CHARS));
    }
}
