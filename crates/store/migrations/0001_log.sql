-- The log. A plain table beside its key, not WITHOUT ROWID: payloads are long, and in a table without rowids
-- everything beyond a kilobyte goes to pages of its own (measured: writing costs four times as much, reading the same).
CREATE TABLE entry (
    tenant TEXT NOT NULL,
    session TEXT NOT NULL REFERENCES fence (session) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (session, seq)
) STRICT;

-- Who may write to a session, and where.
CREATE TABLE fence (
    session TEXT NOT NULL PRIMARY KEY,
    attempt INTEGER NOT NULL,
    next_seq INTEGER NOT NULL,
    ended INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What sessions are found by. Rebuilt from the log.
CREATE TABLE session (
    session TEXT NOT NULL PRIMARY KEY REFERENCES fence (session) ON DELETE CASCADE,
    status TEXT NOT NULL,
    repository TEXT NOT NULL,
    prompt TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    pr_url TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX session_status ON session (status, session);

CREATE INDEX session_repository ON session (repository, session);

-- Small values by key.
CREATE TABLE record (
    space TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (space, key)
) STRICT;
