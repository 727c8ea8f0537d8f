Feature: Being told of one's turn
  Instead of asking again and again, a visitor may leave a stream open.

  Scenario: The stream tells of the turn, and ends
    Given a waiting room that lets nobody in
    And Ann is WAITING
    When Ann opens a stream
    Then Ann is told status-update with the status WAITING
    When the operator opens the room
    Then Ann is told status-update with the status READY
    And Ann is told ready with the status READY
    And Ann's stream ends

  Scenario: The stream ends with an error when the visitor leaves
    Given a waiting room that lets nobody in
    And Ann is WAITING
    When Ann opens a stream
    Then Ann is told status-update with the status WAITING
    When Ann leaves
    Then Ann is told error with the code Q001
    And Ann's stream ends

  Scenario: Whoever opens streams too often has to wait
    Given a waiting room
    And Ann is READY
    When Ann opens streams until one is refused
    Then the call is refused with 429 Q004
    And the answer has a Retry-After header
    And 10 streams or more were opened before
