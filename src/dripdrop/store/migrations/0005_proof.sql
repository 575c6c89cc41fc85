-- deployment: pre
-- Who answers a text message quotes nothing: what is answered is what was sent there last. What goes to e-mail addresses
-- and to web addresses is answered otherwise, and stands in no index.
create index delivery_attempts_recipient on dripdrop.delivery_attempts (recipient, started_at)
    where strpos(recipient, '@') = 0 and strpos(recipient, '/') = 0;
