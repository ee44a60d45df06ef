//! A branch name that is taken is one that git takes too, and no option.
#![no_main]

use events::Branch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(branch) = text.parse::<Branch>() else { return };
    assert_eq!(branch.as_str(), text);
    assert!(!text.starts_with('-') && is_ref_format(&branch.full_ref()), "{text:?}");
});

/// The rules of `man git-check-ref-format`, one by one.
fn is_ref_format(name: &str) -> bool {
    let control = name.bytes().any(|byte| byte < 0x20 || byte == 0x7f);
    let special = name.contains([' ', '~', '^', ':', '?', '*', '[', '\\']);
    let sequences = ["..", "@{", "//"].iter().any(|sequence| name.contains(sequence));
    let parts =
        name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"));
    !control && !special && !sequences && parts && !name.ends_with('.') && name != "@"
}
