//! The registries that the operator's own npm, pip and cargo are configured for: asked of the tools themselves, since no
//! registry is known here.

mod ask;
mod cargo;
mod location;
mod npm;
mod pip;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rustls_pki_types::CertificateDer;
use sandbox::HomeFile;
use sandbox::egress::{Host, Lent, Told};

/// What the operator's tools are configured for.
#[derive(Debug, Default)]
pub(crate) struct Registries {
    /// The hosts that packages come from.
    pub(crate) hosts: BTreeSet<Host>,
    /// The credentials that the tools have for them.
    pub(crate) lent: Vec<Lent>,
    /// What makes the tools inside ask the same registries; no credential is in it.
    pub(crate) told: Told,
    /// Authorities that the tools trust besides the machine's.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    /// What cannot be used inside, each in a sentence for the operator.
    pub(crate) problems: Vec<String>,
}

/// Asks the tools, at the same time; those that are not there have none. `environment` is what the tools are run with, and
/// `scratch` an empty folder: in somebody's checkout they would read its settings.
pub(crate) async fn registries(environment: &BTreeMap<String, String>, scratch: &Path) -> Registries {
    let world = World { environment, scratch };
    let (npm, pip, cargo) =
        tokio::join!(npm::registries(&world), pip::registries(&world), cargo::registries(&world));
    let mut all = Registries::default();
    for one in [npm, pip, cargo] {
        all.hosts.extend(one.hosts);
        all.lent.extend(one.lent);
        all.told.environment.extend(one.told.environment);
        all.told.home.extend(one.told.home);
        all.certificates.extend(one.certificates);
        all.problems.extend(one.problems);
    }
    all
}

/// What the tools are asked in.
struct World<'a> {
    environment: &'a BTreeMap<String, String>,
    scratch: &'a Path,
}

impl World<'_> {
    fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl Registries {
    /// Takes a registry's address in; gives it as it may stand inside, or notes why it cannot be used.
    fn take(&mut self, tool: &str, address: &str) -> Option<location::Location> {
        match location::Location::parse(address) {
            Ok(location) => {
                self.hosts.insert(location.host.clone());
                Some(location)
            }
            Err(why) => {
                self.problems
                    .push(format!("{tool}'s registry {}: {why}", location::without_credentials(address)));
                None
            }
        }
    }

    /// Takes in the authorities in the file that a tool is told to trust.
    fn trust(&mut self, tool: &str, path: &str) {
        use rustls_pki_types::pem::PemObject as _;
        let read = CertificateDer::pem_file_iter(path).and_then(|all| all.collect::<Result<Vec<_>, _>>());
        match read {
            Ok(certificates) => self.certificates.extend(certificates),
            Err(error) => {
                self.problems.push(format!("{tool}'s certificates in {path} cannot be read: {error}"))
            }
        }
    }

    fn file(&mut self, path: &str, content: String) {
        if !content.is_empty() {
            self.told.home.push(HomeFile { path: path.to_owned(), content: content.into_bytes() });
        }
    }
}
