//! The request: the order, the idempotency key, and signatures that a library of Standard Webhooks accepts.

use standardwebhooks::Webhook;

use super::*;

/// A secret in the form of the specification.
const BASE64: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// Creates an order whose first attempt fails and which then waits once. Returns its three calls.
async fn three_calls(more: &[(&str, &str)]) -> Vec<Call> {
    let calls = Arc::new(Mutex::new(0));
    let merchant = endpoint(move || {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        Reply::of([503, 202, 204][*calls - 1])
    })
    .await;
    let (world, processor) = world(&merchant.url(), more).await;
    let order = order_with("o.1:a", &json!({"currency": "KWD", "metadata": {"gift": "", "cart": "77"}}));
    world.post("/orders", &order).await.expect(201);
    world.execute("UPDATE orders SET created_at = '2026-11-24T04:09:05.830Z'").await;
    for _ in 0..3 {
        handle(&processor, &["o.1:a"]).await;
        world.execute("UPDATE order_work SET due_at = now()").await;
    }
    assert_eq!(world.status("o.1:a").await, "completed");
    merchant.calls()
}

#[tokio::test]
async fn repeated_call_has_the_same_key_and_the_same_bytes() {
    let calls = three_calls(&[]).await;
    let expected = r#"{"order_id":"o.1:a","user_id":"alice","item_ids":["book-1","pen-7"],"total_amount":"59.980","currency":"KWD","metadata":{"cart":"77","gift":""},"created_at":"2026-11-24T04:09:05.830000Z"}"#;
    for call in &calls {
        assert_eq!((call.order_id(), call.body.as_str()), ("o.1:a", expected));
        assert_eq!((call.header("content-type"), call.header("webhook-id")), ("application/json", "o~1:a"));
    }
    for header in documented()["parameters"].as_array().unwrap() {
        assert_ne!(calls[0].header(header["name"].as_str().unwrap()), "", "{header}");
    }
    let attempts: Vec<_> = calls.iter().map(|call| call.header("ordermill-attempt")).collect();
    assert_eq!(attempts, ["1", "2", "2"]);
}

#[tokio::test]
async fn library_of_standard_webhooks_accepts_each_call() {
    let (of_text, of_base64) = (Webhook::from_bytes(SECRET.into()).unwrap(), Webhook::new(BASE64).unwrap());
    for (secrets, libraries) in
        [(SECRET, [&of_text].as_slice()), (&format!("{BASE64} {SECRET}"), &[&of_text, &of_base64])]
    {
        for Call { headers, body, .. } in three_calls(&[("WEBHOOK_SECRET", secrets)]).await {
            for library in libraries {
                library.verify(body.as_bytes(), &headers).unwrap();
                library.verify(b"{}", &headers).unwrap_err();
            }
            Webhook::from_bytes("another secret".into()).unwrap().verify(body.as_bytes(), &headers).unwrap_err();
        }
    }
}

#[tokio::test]
async fn example_endpoint_checks_signatures_and_acts_once() {
    // The header's key is not signed, and differs.
    let script = "import json, socket, sys, threading, urllib.request; sys.path.insert(0, 'stack'); import receiver
headers, body, secret = json.loads(sys.argv[1]), sys.argv[2].encode(), sys.argv[3]
key, is_ours = receiver.key_of(secret), receiver.is_ours
print(is_ours(headers, body, key), is_ours(headers, body + b' ', key), is_ours(headers, body, b'other'))
receiver.Receiver.key = key
server = receiver.ThreadingHTTPServer(('127.0.0.1', 0), receiver.Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
silent = socket.create_connection(server.server_address)
for key in ('o.1:a', 'another'):
    request = urllib.request.Request(f'http://127.0.0.1:{server.server_port}', body, headers | {'idempotency-key': key})
    urllib.request.urlopen(request, timeout=5)
sys.exit(len(receiver.Receiver.fulfilled))";
    for secret in [SECRET, BASE64] {
        let Call { headers, body, .. } = three_calls(&[("WEBHOOK_SECRET", secret)]).await.remove(0);
        let headers: Value =
            headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap()))).collect();
        let mut python = tokio::process::Command::new("python3");
        let output = python.args(["-c", script, &headers.to_string(), &body, secret]).output().await.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.starts_with("True False False\n") && output.status.code() == Some(1), "{output:?}");
    }
}
