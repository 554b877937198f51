"""The device farm: TVM's RPC tracker as broker, and beside it what a night's work needs.

``tracker`` and ``agent`` run on the serving side, ``client`` in the tuner.  See README, "A farm".
"""
