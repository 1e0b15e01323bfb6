//! What an operator sees when ZooKeeper is not there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::net::TcpListener;
use std::time::{Duration, Instant};

use dr_backends::tier1::{ZooKeeper, ZooKeeperOptions};

fn failure(connect_string: &str) -> (String, Duration) {
    let options = ZooKeeperOptions { request_timeout: Duration::from_secs(2), ..ZooKeeperOptions::default() };
    let started = Instant::now();
    let error = ZooKeeper::connect(connect_string, options).unwrap_err();
    (error.to_string(), started.elapsed())
}

#[test]
fn refused_connections_name_every_address() {
    let closed = |listener: TcpListener| listener.local_addr().unwrap().to_string();
    let hosts = [(); 2].map(|()| closed(TcpListener::bind("127.0.0.1:0").unwrap()));
    let (message, waited) = failure(&hosts.join(","));
    assert!(hosts.iter().all(|host| message.contains(host.as_str())) && message.contains("refused"), "{message}");
    assert!(waited < Duration::from_secs(4), "{waited:?}");
}

#[test]
fn something_else_on_the_port_is_said_to_be_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        use std::io::Write;
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let (message, waited) = failure(&address);
    assert!(message.contains(&address) && message.contains("not answer as ZooKeeper"), "{message}");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

#[test]
fn a_silent_port_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (message, waited) = failure(&listener.local_addr().unwrap().to_string());
    assert!(message.contains("not answer as ZooKeeper"), "{message}");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

#[test]
fn a_wrong_connect_string_is_refused_at_once() {
    for wrong in ["", "host:port", "127.0.0.1:1/a//b"] {
        let (message, waited) = failure(wrong);
        assert!(message.contains("connect"), "{wrong}: {message}");
        assert!(waited < Duration::from_secs(3), "{waited:?}");
    }
}
