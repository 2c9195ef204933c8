//! Training examples: windows of tables with holes punched into them.
