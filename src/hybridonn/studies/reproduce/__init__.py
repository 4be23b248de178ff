"""The tables and figures of the paper, each by one command: records, and the engine behind them."""
