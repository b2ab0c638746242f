//! Transient errors of the database: they are answered 503, and all others 500.

use sandbox::postgres::Postgres;
use tests::order;

use super::*;

#[tokio::test]
async fn transient_errors_return_503_and_other_errors_500() {
    let world = World::new().await;
    world
        .execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = substr(NEW.order_id, 3); END $$;
            CREATE TRIGGER fail BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION fail()",
        )
        .await;
    for state in ["40001", "40P01", "55P03", "57014", "53000", "53100", "53200", "53300", "53400", "25006"] {
        let answer = world.post("/orders", &order(&format!("e-{state}"))).await;
        assert!(!answer.header("retry-after").is_empty(), "{state}: {answer:?}");
        answer.problem(503);
    }
    world.post("/orders", &order("e-P0001")).await.problem(500);
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlock_returns_503() {
    let postgres = Postgres::start().await.unwrap();
    let world = World::with(&[("DATABASE_URL", &postgres.url(postgres.address()))]).await;
    let (other, watching) = (postgres.connect().await.unwrap(), postgres.connect().await.unwrap());
    let insert = |order_id| {
        format!(
            "INSERT INTO orders (order_id, user_id, item_ids, total_amount) VALUES ('{order_id}', 'bob', '{{a}}', 1)"
        )
    };
    // With this setting the other session never detects the deadlock, so that the api's statement fails.
    other.batch_execute(&format!("SET deadlock_timeout = '1min'; BEGIN; {}", insert("o-2"))).await.unwrap();
    let batch = json!({"orders": [order("o-1"), order("o-2")]});
    let cross = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        tests::eventually("the api waits", Duration::from_secs(3), async || {
            (watching.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) > 0).then_some(())
        })
        .await;
        other.batch_execute(&insert("o-1")).await.unwrap();
    };
    let (answer, ()) = tokio::join!(world.post("/orders/batch", &batch), cross);
    if answer.status == 503 {
        answer.problem(503);
    } else {
        let answer = answer.expect(200);
        assert!(answer["results"].as_array().unwrap().iter().all(|result| result["status"] == 503), "{answer}");
    }
    other.batch_execute("ROLLBACK").await.unwrap();
}
