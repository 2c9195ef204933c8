//! What users ask for.
