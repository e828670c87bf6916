/** The tables of the ledger and how an older file becomes a newer one. */
import type { DatabaseSync } from 'node:sqlite';

/** Steps from version to version; the file's `user_version` says how many were taken. A step is never changed, only followed by another. */
const steps: readonly string[] = [
  `CREATE TABLE jobs (
     key TEXT PRIMARY KEY NOT NULL,
     state TEXT NOT NULL,
     job_id TEXT,
     endpoint TEXT NOT NULL,
     profile TEXT,
     command TEXT NOT NULL,
     workflow_hash TEXT NOT NULL,
     input_hash TEXT NOT NULL,
     out_folder TEXT,
     batch TEXT,
     item TEXT,
     seeds TEXT NOT NULL DEFAULT '{}',
     files TEXT NOT NULL DEFAULT '[]',
     receipt TEXT,
     execution_ms REAL,
     delay_ms REAL,
     cost REAL,
     code TEXT,
     process_id INTEGER,
     created_at INTEGER NOT NULL,
     updated_at INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX jobs_by_id ON jobs (job_id);
   CREATE INDEX jobs_by_time ON jobs (created_at);
   CREATE INDEX jobs_by_content ON jobs (workflow_hash, endpoint, input_hash);`,
];

/** Brings the file to this version. Safe with several processes. False when the file is of a newer program. */
export function migrateLedger(database: DatabaseSync): boolean {
  database.exec('BEGIN IMMEDIATE');
  try {
    const row = database.prepare('PRAGMA user_version').get();
    const version = Number(row?.['user_version'] ?? 0);
    if (version > steps.length) {
      database.exec('ROLLBACK');
      return false;
    }
    for (const step of steps.slice(version)) database.exec(step);
    database.exec(`PRAGMA user_version = ${steps.length}`);
    database.exec('COMMIT');
    return true;
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}
