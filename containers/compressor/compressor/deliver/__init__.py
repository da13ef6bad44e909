"""What lies beside the SOG: the page, pictures, levels of detail, other formats, comparisons with photos."""
