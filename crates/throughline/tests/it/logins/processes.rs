//! What several processes do at once, and what one leaves behind that is killed.

use throughline::auth::oauth::{FileTokenStore, Record, TokenStore, exclusive};

use super::child::{ENOUGH, Program};
use super::issuer::{Counts, Issuer};
use super::{key, long_record, names};

fn store() -> (tempfile::TempDir, FileTokenStore) {
    let home = tempfile::tempdir().unwrap();
    let store = FileTokenStore::at(home.path().join("logins")).unwrap();
    (home, store)
}

/// So many programs, all of which want the same before the issuer answers any of them. What each has in the end.
async fn together(
    role: &str,
    count: usize,
    tokens: usize,
    store: &FileTokenStore,
    issuer: &Issuer,
) -> Vec<String> {
    let address = issuer.address.to_string();
    let mut programs = Vec::new();
    for _ in 0..count {
        programs.push(Program::start(role, store, Some(&address)).await);
    }
    for program in &mut programs {
        program.go().await;
    }
    for program in &mut programs {
        assert_eq!(program.said().await, "trying");
    }
    issuer.open();
    let mut said = Vec::new();
    for program in &mut programs {
        for _ in 0..tokens {
            said.push(program.said().await);
        }
    }
    said
}

#[tokio::test]
async fn three_programs_at_once_open_one_page() {
    let (_home, store) = store();
    let issuer = Issuer::closed().await;
    let said = together("login", 3, 1, &store, &issuer).await;
    assert_eq!(said, ["token 0"; 3]);
    assert_eq!(issuer.counts(), Counts { visits: 1, codes: 1, ..Counts::default() });
}

#[tokio::test]
async fn many_programs_with_an_old_token_refresh_it_once() {
    let (_home, store) = store();
    store.save(&key(), &Record::of("0").unwrap()).await.unwrap();
    let issuer = Issuer::closed().await;
    let said = together("refresh", 6, 4, &store, &issuer).await;
    assert_eq!(said, ["token 1"; 24]);
    assert_eq!(issuer.counts(), Counts { refreshes: 1, ..Counts::default() });
}

#[tokio::test]
async fn a_killed_program_lets_its_lock_go() {
    let (_home, store) = store();
    let mut program = Program::start("hold", &store, None).await;
    program.go().await;
    assert_eq!(program.said().await, "held");
    let busy = exclusive(&store, &key(), std::time::Duration::ZERO).await.unwrap_err();
    assert!(busy.is_busy(), "{busy}");
    program.kill().await;
    drop(exclusive(&store, &key(), ENOUGH).await.unwrap());
}

#[tokio::test]
async fn a_killed_writer_leaves_a_whole_record_and_nothing_else() {
    let (_home, store) = store();
    let whole = [Some(long_record('a')), Some(long_record('b'))];
    for saves in 1..8 {
        let mut programs = Vec::new();
        for _ in 0..2 {
            let mut program = Program::start("write", &store, None).await;
            program.go().await;
            programs.push(program);
        }
        for _ in 0..saves {
            for program in &mut programs {
                assert_eq!(program.said().await, "saved");
            }
            assert!(whole.contains(&store.load(&key()).await.unwrap()));
        }
        for program in programs {
            program.kill().await;
        }
        assert!(whole.contains(&store.load(&key()).await.unwrap()));
    }
    store.save(&key(), &long_record('c')).await.unwrap();
    assert_eq!(names(store.directory()), [format!("{}.json", key().name())]);
}
