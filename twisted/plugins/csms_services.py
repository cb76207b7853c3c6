from twisted.application.service import ServiceMaker

csms = ServiceMaker("csms", "csms.tap.csms", "Charging station management, all in one process", "csms")
gateway = ServiceMaker("csms-gateway", "csms.tap.gateway", "Holds connections of chargers and browsers", "csms-gateway")
worker = ServiceMaker("csms-worker", "csms.tap.worker", "Handles the messages of chargers", "csms-worker")
simulator = ServiceMaker("csms-simulator", "csms.tap.simulator", "Virtual chargers", "csms-simulator")
