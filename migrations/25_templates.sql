-- The owner's own wording: a row replaces a part of a message in one language (docs/wording.md). A body is a pattern of Fluent,
-- https://projectfluent.org; the program says which kinds, languages, parts and variables there are, and which bodies are
-- broken. Passes only read it.
CREATE TABLE IF NOT EXISTS public.booking_automation_templates (
    kind     text    NOT NULL CHECK (char_length(kind) BETWEEN 1 AND 40),     -- a kind of message, or `all`
    language text    NOT NULL CHECK (char_length(language) BETWEEN 1 AND 40), -- a tag, such as `de`
    part     text    NOT NULL CHECK (char_length(part) BETWEEN 1 AND 40),     -- such as `subject`
    body     text    NOT NULL CHECK (char_length(body) BETWEEN 1 AND 10000),
    active   boolean NOT NULL DEFAULT true,
    PRIMARY KEY (kind, language, part)
);

SELECT public.booking_automation_make_private('public.booking_automation_templates'::regclass);
SELECT public.booking_automation_grant_to_passes('SELECT ON public.booking_automation_templates');
