"""Write what is delivered beside the SOG: page, pictures, levels of detail, other formats, comparisons with photos."""
