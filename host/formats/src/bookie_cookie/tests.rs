use super::*;
use crate::test_support::mutations;

const REAL: &str = "4\nbookieHost: \"127.0.0.1:31810\"\njournalDir: \"/data/bk0/journal\"\nledgerDirs: \"1\\t/data/bk0/ledgers\"\n\
                    instanceId: \"14b447c5-bd97-4e5d-bcc3-fc75b5e7add9\"\n";

fn decode(text: &str) -> Cookie {
    Cookie::decode(text.as_bytes()).unwrap()
}

#[test]
fn layout_4() {
    let cookie = decode(REAL);
    assert_eq!(cookie.bookie_id, "127.0.0.1:31810");
    assert_eq!(cookie.journal_directories, ["/data/bk0/journal"]);
    assert_eq!(cookie.ledger_directories, ["/data/bk0/ledgers"]);
    assert_eq!(cookie.instance_id.as_deref(), Some("14b447c5-bd97-4e5d-bcc3-fc75b5e7add9"));
}

#[test]
fn several_directories_and_unknown_fields() {
    let cookie = decode(
        "5\nbookieHost: \"a\"\njournalDir: \"/j0,/j1\"\nledgerDirs: \"2\\t/l0\\t/l1\"\nindexDirs: \"1\\t/i\"\nnew: \"x\"\n",
    );
    assert_eq!(cookie.journal_directories, ["/j0", "/j1"]);
    assert_eq!(cookie.ledger_directories, ["/l0", "/l1"]);
    assert_eq!(cookie.index_directories, ["/i"]);
    assert_eq!(cookie.instance_id, None);
}

#[test]
fn layout_3_also_where_it_calls_itself_4() {
    for layout in ["3", "4"] {
        let cookie = decode(&format!("{layout}\n127.0.0.1:3181\n/j\n2\t/l0\t/l1\n"));
        assert_eq!(cookie.bookie_id, "127.0.0.1:3181");
        assert_eq!((cookie.journal_directories, cookie.ledger_directories.len()), (vec!["/j".to_owned()], 2));
    }
}

#[test]
fn escapes() {
    assert_eq!(unescape(r#"a\"\\\303\244\12"#).as_deref(), Some("a\"\\ä\n"));
    assert_eq!((unescape(r"\q"), unescape(r"\777"), unescape("\\")), (None, None, None));
}

#[test]
fn what_is_no_cookie_is_said() {
    let error = |text: &str| Cookie::decode(text.as_bytes()).unwrap_err().to_string();
    assert!(error("").contains("the number of a layout, 3 to 5"));
    assert!(error("2\nx\n").contains("the number of a layout"));
    assert!(error("4\njournalDir: \"/j\"\n").contains("the id of a bookie"));
    assert_eq!(
        error("4\nbookieHost: \"a\"\njournalDir\n"),
        "bookie cookie: at byte 18, expected a field of the form name: \"value\""
    );
    assert!(Cookie::decode(&vec![b'4'; COOKIE_MAX_BYTES + 1]).is_err());
    mutations(REAL.as_bytes(), |bytes| drop(Cookie::decode(bytes)));
}
