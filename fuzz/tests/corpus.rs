//! Each target with every file of its corpus, on any toolchain.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[test]
fn every_file_of_every_corpus_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in throughline_fuzz::ALL {
        let mut count = 0;
        for entry in fs::read_dir(root.join(name)).unwrap_or_else(|error| panic!("corpus/{name}: {error}")) {
            let path = entry.expect("it can be listed").path();
            let bytes = fs::read(&path).expect("it can be read");
            let ran = catch_unwind(AssertUnwindSafe(|| target(&bytes)));
            assert!(ran.is_ok(), "{} fails with {}", name, path.display());
            count += 1;
        }
        assert!(count > 10, "the corpus of {name} has {count} files");
        // Nothing, and much of one byte.
        target(&[]);
        for byte in [0, b' ', b'[', b'"', 0xff] {
            target(&[byte; 3_000]);
        }
    }
}
