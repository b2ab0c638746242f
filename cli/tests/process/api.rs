//! A small API for the tests: it accepts orders and leaves them pending.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// How it answers calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It answers every call.
    Sound,
    /// It answers no list of more than one order.
    WithoutLists,
    /// It answers every call 403, as AWS does without the right.
    Refusing,
    /// It accepts connections and never answers.
    Silent,
}

pub struct Api {
    address: SocketAddr,
    orders: Arc<Mutex<Vec<Value>>>,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Api {
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = Self { address: listener.local_addr().unwrap(), orders: Arc::default(), paths: Arc::default() };
        let (orders, paths) = (Arc::clone(&api.orders), Arc::clone(&api.paths));
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().filter_map(Result::ok) {
                if manner == Manner::Silent {
                    paths.lock().unwrap().push(String::new());
                    held.push(stream);
                } else {
                    let (orders, paths) = (Arc::clone(&orders), Arc::clone(&paths));
                    std::thread::spawn(move || serve(&stream, manner, &orders, &paths));
                }
            }
        });
        api
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many orders it has accepted.
    pub fn accepted(&self) -> usize {
        self.orders.lock().unwrap().len()
    }

    /// Adds an order.
    pub fn add(&self, order_id: &str) {
        self.orders.lock().unwrap().push(order(&json!({"order_id": order_id})));
    }

    /// Adds an order that was created at this time.
    pub fn add_created(&self, order_id: &str, created_at: &str) {
        let mut order = order(&json!({"order_id": order_id}));
        order["created_at"] = created_at.into();
        self.orders.lock().unwrap().push(order);
    }

    /// How many calls had this in their path; of a silent API, how many connections there were.
    pub fn calls(&self, part: &str) -> usize {
        self.paths.lock().unwrap().iter().filter(|path| path.contains(part)).count()
    }
}

fn serve(stream: &TcpStream, manner: Manner, orders: &Mutex<Vec<Value>>, paths: &Mutex<Vec<String>>) {
    let Some((method, path, body)) = read(stream) else { return };
    let (status, answer) = match (method.as_str(), path.split('?').next().unwrap()) {
        _ if manner == Manner::Refusing => (403, json!({"__type": "AccessDeniedException", "message": "no right"})),
        ("POST", "/orders") => {
            orders.lock().unwrap().push(order(&body));
            (201, json!({}))
        }
        ("GET", "/orders") if manner == Manner::WithoutLists && !path.contains("limit=1&") => (404, json!({})),
        ("GET", "/orders") if path.contains("status=processing") => (200, json!({"orders": [], "next_cursor": null})),
        ("GET", "/orders") => (200, page(&orders.lock().unwrap(), &path)),
        ("GET", path) if path.ends_with("/status") => (200, json!({"status": "pending"})),
        ("GET", path) => {
            let rest = path.strip_prefix("/orders/").unwrap_or_default();
            let order_id = rest.strip_suffix("/history").unwrap_or(rest);
            let orders = orders.lock().unwrap();
            let found = orders.iter().find(|order| order["order_id"] == order_id);
            let shown = |order: &Value| if order_id == rest { order.clone() } else { history(order) };
            found.map_or((404, json!({})), |order| (200, shown(order)))
        }
        _ => (404, json!({})),
    };
    paths.lock().unwrap().push(path);
    let body = answer.to_string();
    let head = format!("HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut stream = stream;
    // The client may have ended.
    let _ = stream.write_all((head + &body).as_bytes());
}

/// A page of the orders, from the last to the first. The cursor is the number of orders before it.
fn page(orders: &[Value], path: &str) -> Value {
    let number = |name: &str| path.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)?.parse::<usize>().ok());
    let (start, limit) = (number("cursor=").unwrap_or(0), number("limit=").unwrap_or(50));
    let listed: Vec<_> = orders.iter().rev().skip(start).take(limit).collect();
    let end = start + listed.len();
    json!({"orders": listed, "next_cursor": (end < orders.len()).then(|| end.to_string())})
}

fn read(stream: &TcpStream) -> Option<(String, String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if let Some(text) = header.to_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().ok()?;
        }
        if header.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((method, path, serde_json::from_slice(&body).unwrap_or_default()))
}

fn order(body: &Value) -> Value {
    json!({"order_id": body["order_id"], "user_id": "alice", "total_amount": "1.00", "currency": "EUR", "status": "pending",
        "created_at": "2026-01-01T00:00:00.000000Z", "started_at": null, "finished_at": null, "attempts": 0, "failure": null})
}

/// The history of an order that waits.
fn history(order: &Value) -> Value {
    let created = json!({"at": order["created_at"], "change": "created", "attempt": null, "cause": null, "by": "caller",
        "subject": null, "client": null});
    json!({"order_id": order["order_id"], "changes": [created], "truncated": false})
}
