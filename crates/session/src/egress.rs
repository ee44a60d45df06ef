//! What the commands in a sandbox may reach: the operator's word, which a repository may narrow.

use std::collections::BTreeSet;

use sandbox::egress::{Config, Host};

/// What the commands in a sandbox may reach.
#[derive(Debug, Clone)]
pub struct Egress {
    /// The hosts, and how they are reached.
    pub config: Config,
    /// Those of the hosts that packages come from, with the operator's tools.
    pub packages: BTreeSet<Host>,
    /// Whose commands reach them.
    pub open_for: OpenFor,
}

/// Whose commands reach other hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenFor {
    /// Those that set the project up, before the agent begins.
    Setup,
    /// All of the session: the agent's and the checks as well.
    Session,
}

/// What a repository says that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// `packages`: the registries.
    Packages,
    /// `public-packages`: the registries, without credentials.
    PublicPackages,
    /// One host.
    Host(Host),
}

impl Wanted {
    /// Reads one entry of a repository's list.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "packages" => Some(Self::Packages),
            "public-packages" => Some(Self::PublicPackages),
            host => host.parse().ok().map(Self::Host),
        }
    }
}

impl Egress {
    /// Of what the operator allows that which is wanted.
    pub(crate) fn narrowed_to(&self, wanted: &[Wanted]) -> Config {
        let mut config = self.config.clone();
        let packages = wanted.iter().any(|it| matches!(it, Wanted::Packages | Wanted::PublicPackages));
        let wants = |host: &Host| {
            wanted.iter().any(|it| matches!(it, Wanted::Host(wanted) if wanted == host))
                || (packages && self.packages.contains(host))
        };
        config.hosts.retain(wants);
        // A credential is for packages, and only who asks for those has it.
        let lends = wanted.contains(&Wanted::Packages);
        config.lent.retain(|lent| lends && wants(&lent.host));
        config
    }

    /// The hosts among `wanted` that the operator does not allow.
    pub(crate) fn denied<'a>(&self, wanted: &'a [Wanted]) -> impl Iterator<Item = &'a Host> {
        wanted.iter().filter_map(|it| match it {
            Wanted::Host(host) => (!self.config.hosts.contains(host)).then_some(host),
            Wanted::Packages | Wanted::PublicPackages => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::sync::Arc;

    use sandbox::egress::{Below, Caps, Lent, Route, System, Told, Trust};

    use super::*;

    fn host(name: &str) -> Host {
        name.parse().unwrap()
    }

    /// `a` and `b` are registries, and `a` has a credential; `c` is another host.
    fn egress() -> Egress {
        let lent = Lent {
            host: host("a.example"),
            below: Below::parse("/").unwrap(),
            authorization: "Bearer x".to_owned().into(),
        };
        let config = Config {
            hosts: ["a.example", "b.example", "c.example"].map(host).into(),
            route: Route::Direct { resolver: Arc::new(System), private: BTreeSet::new() },
            lent: vec![lent],
            trust: Trust::default(),
            told: Told::default(),
            caps: Caps::default(),
            folder: PathBuf::new(),
        };
        Egress { config, packages: ["a.example", "b.example"].map(host).into(), open_for: OpenFor::Setup }
    }

    #[test]
    fn a_repository_has_what_it_asks_for_and_never_more() {
        let cases = BTreeMap::from([
            ("", ("", 0)),
            ("packages", ("a.example b.example", 1)),
            ("public-packages", ("a.example b.example", 0)),
            ("c.example", ("c.example", 0)),
            ("a.example", ("a.example", 0)),
            ("packages c.example", ("a.example b.example c.example", 1)),
            ("C.Example. evil.example", ("c.example", 0)),
        ]);
        for (asked, (hosts, lent)) in cases {
            let wanted: Vec<Wanted> =
                asked.split_whitespace().map(|text| Wanted::parse(text).unwrap()).collect();
            let config = egress().narrowed_to(&wanted);
            let given: Vec<&str> = config.hosts.iter().map(Host::as_str).collect();
            assert_eq!((given.join(" ").as_str(), config.lent.len()), (hosts, lent), "{asked}");
        }
        let wanted = ["evil.example", "c.example", "packages"].map(|text| Wanted::parse(text).unwrap());
        assert_eq!(egress().denied(&wanted).collect::<Vec<_>>(), [&host("evil.example")]);
        assert_eq!(Wanted::parse("*.example"), None);
    }
}
