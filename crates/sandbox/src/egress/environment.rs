//! How tools are told of the proxy. Each has its own way; one that has none, or does not listen, reaches nothing.

/// The proxy, as programs inside see it.
const PROXY: &str = "http://127.0.0.1:3128";
/// What is spoken to directly: servers that a project's own tests start.
const DIRECT: &str = "localhost,127.0.0.1,::1";
/// Maven's resolver has a switch of its own. The Java machine says on standard error that it read this.
const JAVA: &str = "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=3128 -Dhttps.proxyHost=127.0.0.1 \
                    -Dhttps.proxyPort=3128 -Dhttp.nonProxyHosts=localhost|127.0.0.1|[::1] \
                    -Daether.connector.http.useSystemProperties=true";

/// Variables by which tools find the proxy.
const VARIABLES: &[(&str, &str)] = &[
    // curl, git, Go, Python, Ruby, uv, pnpm, bun, deno; some hear the one case, some the other.
    ("HTTP_PROXY", PROXY),
    ("http_proxy", PROXY),
    ("HTTPS_PROXY", PROXY),
    ("https_proxy", PROXY),
    ("ALL_PROXY", PROXY),
    ("all_proxy", PROXY),
    ("NO_PROXY", DIRECT),
    ("no_proxy", DIRECT),
    // Node.js itself, from 24 on.
    ("NODE_USE_ENV_PROXY", "1"),
    // A setting of the project's own would come before the plain variables, not before these.
    ("npm_config_proxy", PROXY),
    ("npm_config_https_proxy", PROXY),
    ("npm_config_noproxy", DIRECT),
    // What npm asks for beside packages is not what anybody here waits for.
    ("npm_config_audit", "false"),
    ("npm_config_fund", "false"),
    ("npm_config_update_notifier", "false"),
    ("YARN_HTTP_PROXY", PROXY),
    ("YARN_HTTPS_PROXY", PROXY),
    ("PIP_PROXY", PROXY),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("CARGO_HTTP_PROXY", PROXY),
    ("JAVA_TOOL_OPTIONS", JAVA),
];

/// The variables.
pub(super) fn of_tools() -> impl Iterator<Item = (String, String)> {
    VARIABLES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_name_the_port_of_the_relay() {
        assert!(PROXY.ends_with(&format!(":{}", super::super::PROXY_PORT)));
        let ports = JAVA.matches(&format!("proxyPort={}", super::super::PROXY_PORT)).count();
        assert_eq!(ports, 2);
    }
}
