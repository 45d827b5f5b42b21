"""Rules of the newer judgements that a CHECK cannot hold."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER writtenprompt_append_only BEFORE UPDATE ON labeling_writtenprompt
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();
CREATE TRIGGER promptannotation_append_only BEFORE UPDATE ON labeling_promptannotation
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();

CREATE FUNCTION podium_reference_fits_task() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE k integer;
BEGIN
  SELECT num_responses INTO k FROM labeling_task WHERE id = NEW.task_id;
  IF cardinality(NEW.ranks) <> k
     OR (SELECT max(x) FROM unnest(NEW.ranks) x) <> (SELECT count(DISTINCT x) FROM unnest(NEW.ranks) x)
     OR (SELECT min(x) FROM unnest(NEW.ranks) x) <> 1 THEN
    RAISE EXCEPTION 'a reference must give each of % responses a rank from 1, without gaps', k
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'reference_ranks_fit_task';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER reference_fits_task BEFORE INSERT OR UPDATE ON labeling_reference
  FOR EACH ROW EXECUTE FUNCTION podium_reference_fits_task();

CREATE FUNCTION podium_review_fits_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.ranking_id IS NOT NULL AND NEW.task_id <> (SELECT task_id FROM labeling_ranking WHERE id = NEW.ranking_id) THEN
    RAISE EXCEPTION 'the decision ranks another task'
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'review_decides_its_own_task';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER review_fits_task BEFORE INSERT OR UPDATE ON labeling_review
  FOR EACH ROW EXECUTE FUNCTION podium_review_fits_task();
"""

BACKWARD = """
DROP TRIGGER review_fits_task ON labeling_review;
DROP FUNCTION podium_review_fits_task();
DROP TRIGGER reference_fits_task ON labeling_reference;
DROP FUNCTION podium_reference_fits_task();
DROP TRIGGER promptannotation_append_only ON labeling_promptannotation;
DROP TRIGGER writtenprompt_append_only ON labeling_writtenprompt;
"""


class Migration(migrations.Migration):
    dependencies = [("labeling", "0007_quality_and_other_tasks")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
