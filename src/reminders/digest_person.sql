-- Whose digest lists the booking `b`, by the row `c` of the contacts view, and what they have chosen (`own`). A name that is no
-- UUID only finds what the person has chosen: the digest is then of whom the booking refers to.
 CROSS JOIN LATERAL (
       SELECT CASE WHEN is_id THEN c.person_id::pg_catalog.uuid ELSE b.referred_id END AS person_id,
              CASE WHEN is_id THEN c.person_id::pg_catalog.uuid::pg_catalog.text
                   WHEN c.person_id OPERATOR(pg_catalog.<>) '' THEN c.person_id
                   ELSE b.referred_id::pg_catalog.text END AS name
         FROM (SELECT c.person_id OPERATOR(pg_catalog.~*) '^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$' AS is_id) AS one
       ) AS who
  LEFT JOIN public.booking_automation_preferences AS own ON own.person_id OPERATOR(pg_catalog.=) who.name
