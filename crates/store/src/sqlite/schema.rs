//! Brings the tables of a SQLite file up to date.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection as _, SqlSafeStr as _, SqliteConnection};

use super::{failed, write};
use crate::Error;

/// Raised when the list of sessions shall hold something else; it is then rebuilt from the log.
const INDEX_VERSION: i64 = 1;

/// The file was written by a later release.
#[derive(Debug, thiserror::Error)]
#[error(
    "a later release of backspace has written it (its tables are at version {0}); run that release, or name another \
     file in DATABASE_URL"
)]
struct LaterRelease(i64);

/// Makes what is missing, in one transaction, so that two processes that start at once do not meet half-made tables.
pub(super) async fn bring_up_to_date(connection: &mut SqliteConnection) -> Result<(), Error> {
    const DOING: &str = "bring the tables of the database up to date";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed(DOING))?;
    // `run`, which this is the inside of, makes futures that are not `Send`.
    match migrator().run_direct(None, &mut *transaction, false).await {
        Ok(()) => {}
        Err(MigrateError::VersionMissing(version)) => {
            return Err(failed("open the database")(LaterRelease(version)));
        }
        Err(error) => return Err(failed(DOING)(error)),
    }
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed(DOING))?;
    if version > INDEX_VERSION {
        return Err(failed("open the database")(LaterRelease(version)));
    }
    if version < INDEX_VERSION {
        write::rebuild(&mut transaction).await?;
        // A pragma takes no parameters.
        let set = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {INDEX_VERSION}"));
        sqlx::query(set).execute(&mut *transaction).await.map_err(failed(DOING))?;
    }
    transaction.commit().await.map_err(failed(DOING))
}

fn migrator() -> Migrator {
    let log = include_str!("../../migrations/0001_log.sql");
    let migration = Migration::new(1, "log".into(), MigrationType::Simple, log.into_sql_str(), false);
    Migrator::with_migrations(vec![migration])
}
