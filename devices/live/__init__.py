"""What equipment does right now, as its meters told last."""
