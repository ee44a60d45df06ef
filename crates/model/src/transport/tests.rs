//! Addresses of providers.

use super::*;

#[test]
fn base_urls_are_checked() {
    let good = endpoint_url(" http://127.0.0.1:1/v1/ ", "/x").unwrap();
    assert_eq!(good.as_str(), "http://127.0.0.1:1/v1/x");
    for bad in ["", "host", "ftp://h", "https://u:p@h", "https://h?x=1", "https://h#f", "file:///etc"] {
        assert!(endpoint_url(bad, "/x").is_err(), "{bad}");
    }
}
