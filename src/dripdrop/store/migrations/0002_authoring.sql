-- deployment: pre
-- What authoring adds to the shape.

-- A visitor of a short link has nothing but its code.
create unique index short_links_code on dripdrop.short_links (external_id) where provider = 'builtin';
