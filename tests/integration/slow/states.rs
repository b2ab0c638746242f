//! Transient errors of the database: they are answered 503, and all others 500.

use tests::order;

use super::*;

#[tokio::test]
async fn transient_errors_return_503_and_other_errors_500() {
    let world = World::new().await;
    let fail = "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = substr(NEW.order_id, 3); END $$;
        CREATE TRIGGER fail BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION fail()";
    world.execute(fail).await;
    for state in ["40001", "40P01", "55P03", "57014", "53000", "53100", "53200", "53300", "53400", "25006"] {
        let answer = world.post("/orders", &order(&format!("e-{state}"))).await;
        assert!(!answer.header("retry-after").is_empty(), "{state}: {answer:?}");
        answer.problem(503);
    }
    world.post("/orders", &order("e-P0001")).await.problem(500);
}
