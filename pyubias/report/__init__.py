"""Reports: from run folders to tables, pictures and pages."""
