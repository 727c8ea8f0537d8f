Feature: Extending a visit
  A visitor who shops may ask for more time, twice.

  Scenario: The first extension
    Given a waiting room
    And Ann is ACTIVE
    When Ann extends
    Then the answer is 200
    And the answer says
      | status      | ACTIVE |
      | extendCount | 1      |
    And expiredAt is 600 seconds after the call

  Scenario: The second extension
    Given a waiting room
    And Ann is ACTIVE
    When Ann extends
    And Ann extends again
    Then the answer is 200
    And the answer says
      | status      | ACTIVE |
      | extendCount | 2      |
    And expiredAt is 600 seconds after the call

  Scenario: There is no third extension
    Given a waiting room
    And Ann is ACTIVE
    When Ann extends
    And Ann extends again
    And Ann extends again
    Then the call is refused with 400 Q005
    And the message reads "No further extension is possible."
    When Ann asks for the status
    Then the answer says
      | status      | ACTIVE |
      | extendCount | 2      |

  Scenario: Not even from six devices at once
    Given a waiting room
    And Ann is ACTIVE
    When Ann extends from 6 devices at once
    Then 2 of the calls succeed, the others are refused with 400 Q005
    When Ann asks for the status
    Then the answer says
      | extendCount | 2 |

  Scenario: A visitor who waits has nothing to extend
    Given a waiting room that lets nobody in
    And Ann is WAITING
    When Ann extends
    Then the call is refused with 401 Q003
    And Ann is WAITING

  Scenario: A visitor who has not activated has nothing to extend
    Given a waiting room
    And Ann is READY
    When Ann extends
    Then the call is refused with 401 Q003
    And the message reads "Invalid token."
    And Ann is READY

  Scenario: A visitor whose time is over is too late
    Given a waiting room
    And Ann is EXPIRED
    When Ann extends
    Then the call is refused with 401 Q002
    And Ann is EXPIRED

  Scenario: A stranger has nothing to extend
    Given a waiting room
    When Ann extends
    Then the call is refused with 404 Q001

  Scenario: Another visitor's token extends nobody's time
    Given a waiting room
    And Ann is ACTIVE
    And Ben is ACTIVE
    When Ann extends with Ben's token
    Then the call is refused with 401 Q003

  Scenario Outline: Without <field>
    Given a waiting room
    And Ann is ACTIVE
    When Ann extends without <field>
    Then the call is refused with 400 C001
    And the refusal names <field>

    Examples:
      | field     |
      | concertId |
      | userId    |
