DROP TRIGGER IF EXISTS reminder_rules_effective_from ON reminder_rules;
CREATE TRIGGER reminder_rules_effective_from BEFORE INSERT OR UPDATE ON reminder_rules
    FOR EACH ROW EXECUTE FUNCTION reminder_rules_effective_from();
