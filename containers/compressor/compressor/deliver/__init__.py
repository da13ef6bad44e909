"""What is delivered beside the SOG: the page, pictures, levels of detail, other formats, comparisons with photos."""
