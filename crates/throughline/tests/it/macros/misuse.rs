//! What the compiler says to misuse. Its messages are snapshots beside the programs in `tests/ui`. Those about traits are
//! worded by the compiler, so they follow the stable one: write them anew with `TRYBUILD=overwrite cargo test -p throughline --test it misuse`.

#[test]
fn misuse_is_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
