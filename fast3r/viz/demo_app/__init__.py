"""The demo's rooms: `page` shows, `visits` remembers, `line` queues, `work` computes."""
