-- The table of scores as a hypertable of TimescaleDB. For a ledger in PostgreSQL, new or old, as its owner, after `predelinquency ledger migrate`:
--     psql --single-transaction --set ON_ERROR_STOP=1 --file timescale.sql DATABASE
-- and then `predelinquency ledger roles`: a hypertable that is compressed knows no rights on columns, so a reader gets the counts of each day instead.
-- Only `scores` becomes one: it is what grows every night, nothing refers to it, and its key holds the day.

CREATE EXTENSION IF NOT EXISTS timescaledb;

-- A statement's trigger does not guard the chunks, and refuses the emptying that moves rows into them: so it goes before, and a trigger of every row comes after.
CREATE OR REPLACE FUNCTION refuse_change_of_row() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE entered boolean;
BEGIN
    IF TG_OP = 'DELETE' THEN  -- with an entry of the same transaction, as for every other table
        SELECT EXISTS (SELECT 1 FROM removals WHERE from_table = 'scores' AND xmin = pg_current_xact_id()::xid) INTO entered;
        IF entered THEN RETURN OLD; END IF;
    END IF;
    RAISE EXCEPTION 'scores is append-only: % is refused', TG_OP;
END $$;
DROP TRIGGER IF EXISTS scores_append_only ON scores;
SELECT create_hypertable('scores', 'as_of', chunk_time_interval => INTERVAL '1 month', migrate_data => true);
CREATE TRIGGER scores_append_only BEFORE UPDATE OR DELETE ON scores FOR EACH ROW EXECUTE FUNCTION refuse_change_of_row();

-- One customer's scores lie together, the newest first. A worker of the server compresses what is older than a quarter, where workers run.
ALTER TABLE scores SET (timescaledb.compress, timescaledb.compress_segmentby = 'customer_id', timescaledb.compress_orderby = 'as_of DESC, model_version, feature_hash');
SELECT add_compression_policy('scores', INTERVAL '3 months', if_not_exists => true);

-- How many customers stood where on each day, in steps of one hundredth: every band whose edges are whole hundredths is a sum of some.
CREATE MATERIALIZED VIEW scores_by_day WITH (timescaledb.continuous) AS
SELECT time_bucket(INTERVAL '1 day', as_of) AS day, model_version, floor(probability * 100) / 100 AS from_probability, count(*) AS customers, sum(probability) AS expected
FROM scores GROUP BY 1, 2, 3 WITH NO DATA;
