//! A peer on the loopback device that answers whatever a test wants.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// It serves one connection after another, one request each, until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn answering(answer: impl Fn(&mut TcpStream) + Send + 'static) -> Self {
        Self::hearing(move |_, stream| answer(stream))
    }

    /// One that looks at what it is asked.
    pub(crate) fn hearing(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (told, stop) = (Arc::clone(&heard), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                // A client that goes away ends the writing, and one that never reads must not stop the test.
                stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let asked = request(&mut stream);
                told.lock().unwrap().push(asked.clone());
                answer(&asked, &mut stream);
            }
        });
        Self { address, heard, is_over, thread: Some(thread) }
    }

    /// One that says the same to everybody.
    pub(crate) fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::answering(move |stream| drop(stream.write_all(&bytes)))
    }

    /// An answer with its length.
    pub(crate) fn with(status: &str, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        Self::saying(answer(status, content_type, body))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/dicom-web", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests until now.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

pub(crate) fn answer(status: &str, content_type: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A request's head and body, as far as its length says.
fn request(stream: &mut TcpStream) -> String {
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&heard).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok();
            if body.len() >= head.lines().find_map(length).unwrap_or(0_usize) {
                return text;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return text,
            Ok(read) => heard.extend_from_slice(&buffer[..read]),
        }
    }
}
