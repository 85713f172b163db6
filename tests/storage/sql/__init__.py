"""Tests of the history: SQLite always, PostgreSQL where HUOQUN_TEST_DATABASE names one."""
