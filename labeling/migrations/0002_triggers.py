"""Rules that a CHECK cannot hold: what is append-only, and what two rows must agree on."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION podium_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: add a new revision instead of changing row %', TG_TABLE_NAME, OLD.id
    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
END $$;

CREATE TRIGGER ranking_append_only BEFORE UPDATE ON labeling_ranking
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();
CREATE TRIGGER demonstration_append_only BEFORE UPDATE ON labeling_demonstration
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();
CREATE TRIGGER guideline_append_only BEFORE UPDATE ON labeling_guideline
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();
CREATE TRIGGER runevent_append_only BEFORE UPDATE ON labeling_runevent
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();

CREATE FUNCTION podium_ranking_fits_task() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE k integer;
BEGIN
  SELECT num_responses INTO k FROM labeling_task WHERE id = NEW.task_id;
  IF (SELECT array_agg(x::integer ORDER BY x) FROM unnest(NEW.displayed) x)
     IS DISTINCT FROM (SELECT array_agg(x) FROM generate_series(0, k - 1) x) THEN
    RAISE EXCEPTION 'displayed must hold each position 0 to % once', k - 1
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ranking_displayed_is_a_permutation';
  END IF;
  IF cardinality(NEW.ranks) > 0 AND (
       cardinality(NEW.ranks) <> k
       OR (SELECT max(x) FROM unnest(NEW.ranks) x) <> (SELECT count(DISTINCT x) FROM unnest(NEW.ranks) x)
       OR (SELECT min(x) FROM unnest(NEW.ranks) x) <> 1) THEN
    RAISE EXCEPTION 'ranks must give each of % responses a rank from 1, without gaps', k
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ranking_ranks_fit_task';
  END IF;
  IF cardinality(NEW.ratings) NOT IN (0, k) THEN
    RAISE EXCEPTION 'ratings must be none or one per response (%)', k
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ranking_ratings_fit_task';
  END IF;
  IF NEW.slot_id IS NOT NULL AND NEW.task_id <> (SELECT task_id FROM labeling_slot WHERE id = NEW.slot_id) THEN
    RAISE EXCEPTION 'the slot belongs to another task'
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ranking_slot_of_same_task';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER ranking_fits_task BEFORE INSERT ON labeling_ranking
  FOR EACH ROW EXECUTE FUNCTION podium_ranking_fits_task();

CREATE FUNCTION podium_snapshot_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state = 'ready' AND (NEW.sha256, NEW.kind, NEW.state, NEW.storage_key, NEW.num_rows, NEW.filters, NEW.stats, NEW.project_id)
     IS DISTINCT FROM (OLD.sha256, OLD.kind, OLD.state, OLD.storage_key, OLD.num_rows, OLD.filters, OLD.stats, OLD.project_id) THEN
    RAISE EXCEPTION 'snapshot % is ready and never changes', OLD.id
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'snapshot_never_changes';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER snapshot_frozen BEFORE UPDATE ON labeling_snapshot
  FOR EACH ROW EXECUTE FUNCTION podium_snapshot_frozen();

CREATE FUNCTION podium_run_fence_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.fence < OLD.fence THEN
    RAISE EXCEPTION 'the fence of run % may only grow', OLD.id
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'run_fence_grows';
  END IF;
  IF OLD.state IN ('succeeded', 'failed', 'cancelled') AND NEW.state NOT IN (OLD.state, 'queued') THEN
    RAISE EXCEPTION 'run % has ended as %', OLD.id, OLD.state
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'run_ends_once';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER run_fence_grows BEFORE UPDATE ON labeling_run
  FOR EACH ROW EXECUTE FUNCTION podium_run_fence_grows();
"""

BACKWARD = """
DROP TRIGGER run_fence_grows ON labeling_run;
DROP TRIGGER snapshot_frozen ON labeling_snapshot;
DROP TRIGGER ranking_fits_task ON labeling_ranking;
DROP TRIGGER runevent_append_only ON labeling_runevent;
DROP TRIGGER guideline_append_only ON labeling_guideline;
DROP TRIGGER demonstration_append_only ON labeling_demonstration;
DROP TRIGGER ranking_append_only ON labeling_ranking;
DROP FUNCTION podium_run_fence_grows();
DROP FUNCTION podium_snapshot_frozen();
DROP FUNCTION podium_ranking_fits_task();
DROP FUNCTION podium_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("labeling", "0001_rows")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
