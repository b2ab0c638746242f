-- The service looks for outcomes from the newest minute on that it has folded, so the minutes before now are added up.
WITH folded AS (
    DELETE FROM order_stats WHERE minute <> '-infinity' RETURNING completed, failed, cancelled, requeued, seconds
)
INSERT INTO order_stats AS s (minute, completed, failed, cancelled, requeued, seconds)
SELECT '-infinity', sum(completed), sum(failed), sum(cancelled), sum(requeued), sum(seconds) FROM folded HAVING count(*) > 0
ON CONFLICT (minute) DO UPDATE SET completed = s.completed + excluded.completed, failed = s.failed + excluded.failed,
    cancelled = s.cancelled + excluded.cancelled, requeued = s.requeued + excluded.requeued, seconds = s.seconds + excluded.seconds;
