-- Whoever owns the tables, for csms-admin migrate; and what the services run as.
CREATE ROLE csms_migrator LOGIN;
CREATE ROLE csms_service LOGIN;
GRANT USAGE, CREATE ON SCHEMA public TO csms_migrator;
GRANT USAGE ON SCHEMA public TO csms_service;
ALTER DEFAULT PRIVILEGES FOR ROLE csms_migrator IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO csms_service;
ALTER DEFAULT PRIVILEGES FOR ROLE csms_migrator IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO csms_service;
